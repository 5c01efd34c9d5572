"""The resource that needs no template: what Nginx's file says, and the Lua that runs in it."""
