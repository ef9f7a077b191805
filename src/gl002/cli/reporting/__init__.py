"""Reports: what is in them, and the two forms they take, a page and a PDF."""
