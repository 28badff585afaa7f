"""What everything else talks about: values, and no world."""
