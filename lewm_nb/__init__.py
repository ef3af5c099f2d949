"The method, chapter by chapter: the losses, the model, its training, planning with it, and looking into it"
__version__ = "0.4.0"
