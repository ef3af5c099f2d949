"`python -m lewm_nb` is the quick start: nbs/22_quickstart.ipynb"
from lewm_nb.quickstart import main

if __name__ == "__main__": main()
