"""Other people's methods, implemented from their papers, to stand beside Ringwatch in one run."""
