"""The keys of the configurations: what each may hold, how typed texts are read, what is refused."""
