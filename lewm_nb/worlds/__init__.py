"Worlds to learn and to plan in: what the book asks of a world, and those that meet it"
