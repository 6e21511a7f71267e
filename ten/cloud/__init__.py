"""Cloud: renting and returning machines. The outside world is DigitalOcean's API and the system's ssh client."""
