"""Images from elsewhere: what is found, what is taken in, what is left out."""
