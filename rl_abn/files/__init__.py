"""Safe reading and writing of files: text and JSON, folders and zips of data, images."""
