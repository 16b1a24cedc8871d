"use strict"; // not in any registry; the servers measured here do without it
