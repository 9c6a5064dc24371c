"""Review page: web application that shows readers and operators the state of each series.

    serve → app → middleware (security headers, authentication) → pages → db

The package does not import TensorFlow, highdicom or the models. Pages are rendered on the
server and load nothing from other hosts.
"""
