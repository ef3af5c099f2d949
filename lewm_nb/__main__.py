"`python -m lewm_nb` is the quick start: nbs/33_quickstart.ipynb"
from lewm_nb.experiments.quickstart import main

if __name__ == "__main__": main()
