"What every chapter may use and a reader may skip: files of results, figures and films, several processes"
