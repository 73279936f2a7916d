"""Wrong answers that learners give, problem set by problem set."""
