__version__ = '0.1.0'
#: Address of the published repository, 'https://host/owner/mmseg-sparsemask'; empty while there is
#: none. The package's links, the site and model cards take it from here.
SOURCE = ''
