"""A film's slider in a browser: it shows the picture and the label of its place, whatever signs they hold"""
import numpy as np

from lewm_nb.workbench.show import film

LABELS = ["a|b", 'say "hi"', "x < y & y's"]


def test_the_slider_shows_picture_and_label(browser):
    page = browser.new_page()
    def draw(label): return np.full((4, 4, 3), 80 * LABELS.index(label), np.uint8)
    page.set_content(film(draw, LABELS, 'the "name"', zoom=5, start=2).data)
    for place, label in ((None, LABELS[2]), (0, LABELS[0]), (1, LABELS[1])):
        if place is not None: page.locator("input").fill(str(place))
        assert page.locator("output").inner_text() == label
        visible = [im.get_attribute("alt") for im in page.locator("img").all() if im.is_visible()]
        assert visible == [f'the "name" {label}']
    page.close()
