"""Other projects' models into our folders. Foreign tensor names and configuration keys live only here.

An importer knows which foreign keys matter and which do not, and refuses the rest by name; every tensor is taken or is
a known duplicate. It reads JSON, safetensors and tokenizer files of fixed names: nothing is unpickled, and no code, no
class name and no path from a model folder is followed.
"""
