"""The review page: what became of each series, for readers and operators, in a browser.

    serve → app → gate (who is it?) → pages_* → db

Light: no TensorFlow, no highdicom, no pipeline. Pages are made on the server; nothing is
loaded from outside.
"""
