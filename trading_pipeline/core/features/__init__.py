"""Alpha158 and what it is made of: operators, labels, normalisation."""
