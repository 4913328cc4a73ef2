"""Reader, typed graph, shape inference and writer for .tflite files. NumPy only."""
