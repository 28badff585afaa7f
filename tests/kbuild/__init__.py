"""What hashmake knows of Kbuild, on small pieces of text and on small trees."""
