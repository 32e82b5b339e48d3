# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG, for figures that are kept: axes with lines, a legend beside them, several sets of axes in a picture."""

import math


class Plot:
    """One set of axes in a picture. `log`: True of both, or "x" or "y"."""

    def __init__(self, left, top, width, height, x, y, title, x_name, y_name, log=False):
        self.box = (left, top, width, height)
        self.x, self.y = x, y
        self.log_x, self.log_y = log in (True, "x"), log in (True, "y")
        self.parts = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" class="frame"/>',
                      self.text(left, top - 8, title, "title"),
                      self.text(left + width / 2, top + height + 34, x_name, "middle"),
                      f'<text class="middle" transform="translate({left - 42},{top + height / 2}) rotate(-90)">{y_name}</text>']
        for value in self.ticks(*x, self.log_x):
            at = self.at_x(value)
            self.parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + height}" class="grid"/>')
            self.parts.append(self.text(at, top + height + 16, f"{value:g}", "middle"))
        for value in self.ticks(*y, self.log_y):
            at = self.at_y(value)
            self.parts.append(f'<line x1="{left}" x2="{left + width}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
            self.parts.append(self.text(left - 6, at + 4, f"{value:g}", "end"))

    @staticmethod
    def text(x, y, words, kind):
        return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{words}</text>'

    @staticmethod
    def ticks(low, high, log):
        if log:
            return [10.0**e for e in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        step = 10 ** math.floor(math.log10(high - low))
        while (high - low) / step < 4:
            step /= 2
        return [low + i * step for i in range(int((high - low) / step) + 1)]

    @staticmethod
    def place(value, low, high, log):
        if log:
            return (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return (value - low) / (high - low)

    def at_x(self, value):
        return self.box[0] + self.box[2] * self.place(value, *self.x, self.log_x)

    def at_y(self, value):
        return self.box[1] + self.box[3] * (1 - min(self.place(value, *self.y, self.log_y), 1))

    def line(self, points, colour, dashed=False, dots=False):
        path = " ".join(f"{self.at_x(x):.1f},{self.at_y(y):.1f}" for x, y in points)
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>')
        if dots:
            self.parts += [f'<circle cx="{self.at_x(x):.1f}" cy="{self.at_y(y):.1f}" r="2.5" fill="{colour}"/>'
                           for x, y in points]

    def dots(self, points, colour):
        self.parts += [f'<circle cx="{self.at_x(x):.1f}" cy="{self.at_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]

    def legend(self, entries):
        for i, (name, colour, dashed) in enumerate(entries):
            left, top = self.box[0] + self.box[2] + 12, self.box[1] + 12 + 16 * i
            dash = ' stroke-dasharray="4 3"' if dashed else ""
            self.parts.append(f'<line x1="{left}" x2="{left + 18}" y1="{top - 4}" y2="{top - 4}" stroke="{colour}" '
                              f'stroke-width="2"{dash}/>')
            self.parts.append(self.text(left + 24, top, name, "start"))


def draw(file, width, height, plots):
    style = ("text{font:11px sans-serif;fill:#333}.middle{text-anchor:middle}.end{text-anchor:end}"
             ".title{font-weight:bold}.frame{fill:none;stroke:#888}.grid{stroke:#e4e4e4}")
    body = "\n".join(part for plot in plots for part in plot.parts)
    file.write_text(
        f'<!-- SPDX-License-Identifier: Apache-2.0 -->\n<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">\n<style>{style}</style>\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n')
