"The published size: its speed, its training and its costs, measured"
