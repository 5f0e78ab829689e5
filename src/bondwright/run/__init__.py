"""Running functions elsewhere: `submit(function, arguments, resources) -> Future`."""
