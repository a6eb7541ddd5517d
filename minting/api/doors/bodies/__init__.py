"""What clients send, as intake wants it: pure, and nothing but ``InvalidReading`` is raised."""
