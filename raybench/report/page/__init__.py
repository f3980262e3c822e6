"""The report of a run: what it says (`model`, `make`), its pictures (`figures`), and the files it is written as."""
