"""The domain: no Qt, OpenCV, paramiko or torch may be imported here, so that every rule can be tested without them."""
