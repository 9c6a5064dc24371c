"""Tables of other systems: DXA results and manifests, as CSV or XLSX.

``reader``      lines of a file, with their numbers
``headings``    which column holds which field
``values``      numbers, dates, ages, sides and sexes as hospitals write them
``vocabulary``  the accepted words
``importer``    a table of read values and a list of problems
"""
