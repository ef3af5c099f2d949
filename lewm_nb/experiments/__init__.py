"What measures and writes `data/results`; the method imports nothing from here"
