"""Many SAEs: each upgraded, evaluated and reported, and one page that compares them all."""
