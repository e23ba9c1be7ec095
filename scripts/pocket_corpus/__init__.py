"""The text that pocket learns from, composed from our own templates and word lists.

`words.toml` fills slots, `office.toml` holds what is asked and said, `routes.toml` how an answer sends its reader on
(by e-mail, by phone, or by a way round both), `pharmacy.toml` the same for medicine. `compose.py` puts them together.
"""
