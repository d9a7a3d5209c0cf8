"""Workers with one seam broken each: they show that the oracle can turn red."""
