"""Independent checks of a result: the judge in floats, the certificate in ball arithmetic."""
