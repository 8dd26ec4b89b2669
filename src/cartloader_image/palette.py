"""Colours that people with any kind of colour vision tell apart.

Okabe & Ito, "Color Universal Design", 2008; recommended by B. Wong, Nature Methods 8, 441, 2011. Without black.
"""

ORANGE = "#e69f00"
SKY_BLUE = "#56b4e9"
BLUISH_GREEN = "#009e73"
YELLOW = "#f0e442"
BLUE = "#0072b2"
VERMILION = "#d55e00"
REDDISH_PURPLE = "#cc79a7"
