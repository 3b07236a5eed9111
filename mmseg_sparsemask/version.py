__version__ = '0.1.0'
#: Where the repository is published: the package's links, pages and model cards take it from here.
#: An address ending in `.example` stands until there is one; .ci/release refuses it.
SOURCE = 'https://mmseg-sparsemask.example/mmseg-sparsemask'
