"""Review: a page that shows the pictures which are most worth a look, and keeps what a person decides about them."""
