"""From files to the topic `documents`: finding them (files), reading them (formats), sending (sending)."""
