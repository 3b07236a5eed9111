"""Own images to a chosen network in one command.

`job` has the order of things: `data` looks at the images and their masks, `encoders` finds the
encoder, `schedule` plans what fits into the time, `configs` writes it down, `networks` trains,
`choice` picks one, `delivery` hands it over, and `outcome` says it in a table and a page.
"""
