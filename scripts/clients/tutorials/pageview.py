"""The object that the tutorial sends and leaves to its reader to define."""

import json


class PageView:
    def to_json(self):
        return json.dumps({"pageview": {"url": "URL"}})


pageview = PageView()
