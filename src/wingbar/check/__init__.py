"""`wingbar data check`: damaged pictures, copies, leaks and doubtful labels of a data set."""
