"""The actions that come with ahd."""

BUILTIN = {
    "status": "ahd.actions.builtin.status",
    "actionsView": "ahd.actions.builtin.actions_view",
    "cacheTest": "ahd.actions.builtin.cache_test",
    "randomNumber": "ahd.actions.builtin.random_number",
    "sleepTest": "ahd.actions.builtin.sleep_test",
    "chat": "ahd.actions.builtin.chat",
}
"""The module of each, imported when the file asks for it."""
