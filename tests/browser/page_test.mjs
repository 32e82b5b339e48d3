// SPDX-License-Identifier: Apache-2.0
// page_test.mjs PAGE PICTURES: opens a page of `tideline compare` in headless Chromium, light and dark, wide and narrow:
// no complaint of the browser's, nothing fetched, all plots there, and nothing lies over something else or beyond its
// place. PICTURES is the prefix of a picture of each, wide.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';
import {chromium} from 'playwright-core';

const [file, pictures] = process.argv.slice(2);
const wanted = readFileSync(file, 'utf8').match(/<svg/g).length;

// Runs in the page. Texts of a plot that touch, leave it, or lie over a bar; sections that do not fit.
function faults() {
  const found = [];
  const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
      Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
  for (const plot of document.querySelectorAll('svg')) {
    const name = `${plot.closest('section').querySelector('h2').textContent}: ${plot.getAttribute('aria-label')}`;
    const room = plot.getBoundingClientRect();
    const texts = [...plot.querySelectorAll('text')].map(each => ({what: each.textContent, box: each.getBoundingClientRect()}));
    const bars = [...plot.querySelectorAll('rect')].map(each => each.getBoundingClientRect()).filter(box => box.width > 0);
    texts.forEach(({what, box}, i) => {
      if (box.left < room.left - 1 || box.right > room.right + 1 || box.bottom > room.bottom + 1) found.push(`${name}: '${what}' leaves it`);
      for (const other of texts.slice(i + 1)) {
        if (overlap(box, other.box)) found.push(`${name}: '${what}' lies over '${other.what}'`);
      }
      if (bars.some(bar => overlap(box, bar))) found.push(`${name}: '${what}' lies over a bar`);
    });
  }
  for (const section of document.querySelectorAll('section, header')) {
    if (section.getBoundingClientRect().right > document.documentElement.clientWidth + 1) found.push('a section is wider than the page');
  }
  return found;
}

// Runs in the page. The colours of curves and bars, with the names of their placements: one each.
function colours() {
  const all = {};
  for (const each of document.querySelectorAll('rect.bar')) {
    all[each.getAttribute('class')] = getComputedStyle(each).fill;
  }
  return all;
}

const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--disable-gpu']});
const backgrounds = {};
for (const colorScheme of ['light', 'dark']) {
  for (const width of [1240, 390]) {
    const page = await browser.newPage({colorScheme, viewport: {width, height: 1500}});
    const complaints = [];
    page.on('console', message => complaints.push(message.text()));
    page.on('pageerror', error => complaints.push(String(error)));
    page.on('request', request => request.url().startsWith('file:') || complaints.push(`asks for ${request.url()}`));
    await page.goto(pathToFileURL(file).href);
    assert.equal(await page.locator('svg').count(), wanted, 'all plots');
    for (const plot of await page.locator('svg').all()) {
      assert.ok((await plot.boundingBox()).height > 30, 'a plot has a height');
    }
    assert.deepEqual(await page.evaluate(faults), [], `${colorScheme}, ${width} wide`);
    const table = page.locator('details table').first();
    assert.equal(await table.isVisible(), false, 'figures are folded away');
    await page.locator('summary').first().click();
    assert.equal(await table.isVisible(), true, 'figures unfold');
    await page.locator('summary').first().click();
    const seen = Object.entries(await page.evaluate(colours));
    assert.equal(new Set(seen.map(([, colour]) => colour)).size, seen.length, `a colour for each placement: ${seen}`);
    backgrounds[colorScheme] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    if (width > 1000) await page.screenshot({path: `${pictures}-${colorScheme}.png`});
    assert.deepEqual(complaints, []);
    await page.close();
  }
}
await browser.close();
assert.notEqual(backgrounds.light, backgrounds.dark, 'dark is as light');
console.log(`${wanted} plots, light and dark, wide and narrow`);
