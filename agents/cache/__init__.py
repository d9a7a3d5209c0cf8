"""The cache: an answer is given again while nothing that it rests on has changed."""
