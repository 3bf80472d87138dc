"""Files read and written safely: text and JSON, folders and zips of data, images."""
