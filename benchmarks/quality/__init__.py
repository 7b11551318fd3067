"""How good Ringwatch's scores are beside other people's methods, on the same accounts in the same run."""
