"""A map page in the browser that shows archives as they are: what is shown, who serves it, how it is put elsewhere."""
