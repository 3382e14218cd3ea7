"""Whence: which training sequences did this output of a language model come from?"""
