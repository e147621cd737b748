"""The pages, the live stream and the API: everything that speaks HTTP. It knows the lab, never the store."""
