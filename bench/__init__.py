"""Small programs that print a table and, last, one line of JSON."""
